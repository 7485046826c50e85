"""What a network would take on a board that is not there: an estimate."""
