"""The wire side of scoring: translates between messages and the domain, decides nothing."""
