"""No window opens in a test: SDL draws into memory."""

import os

os.environ["SDL_VIDEODRIVER"] = "dummy"
