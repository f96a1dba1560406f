"""How the network learns: attention layouts, data sets and the training loop."""
