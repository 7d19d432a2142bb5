"""What tests/chaos/saga-chaos is made of; it has the list (saga-chaos --help)."""
