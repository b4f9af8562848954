"""One thread, as in training: bit-equality is promised for one thread count, and two threads fight over a core."""

import torch

torch.set_num_threads(1)
