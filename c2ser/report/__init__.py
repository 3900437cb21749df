"""One page that shows all results of a recipe, with the recordings behind them."""
