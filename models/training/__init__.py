"""What a network is trained with: training sets, and (to come) losses and the trainer."""
