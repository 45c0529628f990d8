"""What forecasts were worth to the business, beside the plan that costs nothing: last month again."""
