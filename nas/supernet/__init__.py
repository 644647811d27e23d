"""The supernet: a vision transformer whose subnets share weights, and its export."""
