"""What of the source's rows the target gets, and which columns otherwise: filters, masks and subsets."""
