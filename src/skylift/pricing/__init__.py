"""What compute costs: a dated catalogue, exact bills, advice on size. Pure functions over data."""
