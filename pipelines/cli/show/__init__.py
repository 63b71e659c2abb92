"""What commands print. What is in it was found or computed further down."""
