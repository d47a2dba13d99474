"""What each picture shows, gathered from runs and folds."""
