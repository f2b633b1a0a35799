"""Pictures for the README, and the scripts that draw them from what they show."""
