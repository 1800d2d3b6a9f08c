"""Writing mails, and sending each of them once."""
