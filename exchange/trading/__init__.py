"""Keep the account: its orders, positions and money, and the events that tell of them."""
