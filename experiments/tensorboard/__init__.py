"""Event files that TensorBoard shows."""
