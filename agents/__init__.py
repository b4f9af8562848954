"""What learns: softmax policies, the REINFORCE loss with its entropy term, returns and baselines."""
