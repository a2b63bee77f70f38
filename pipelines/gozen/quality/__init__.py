"""The gates that data pass before they are used; each refusal is a named reason with its value and limit."""
