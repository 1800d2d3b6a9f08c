"""The fitted application's twin: the same routes, also those that ask who is there, and no installation."""

from apps.fitted import fitted

app = fitted()
