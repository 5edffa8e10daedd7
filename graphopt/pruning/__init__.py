"""What pruning reckons with: analysis and arithmetic on matrices of weights. It never changes a graph."""
