"""What operators of the operator see: metrics, health, logs."""
