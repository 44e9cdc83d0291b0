"""The Open Inference Protocol's tensors and messages, as the gateway and the client both write and read them."""
