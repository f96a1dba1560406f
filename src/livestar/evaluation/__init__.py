"""How well and how timely the network speaks: OmniStar's files, its tasks and their metrics."""
