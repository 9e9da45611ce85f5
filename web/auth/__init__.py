"""Authentication and accounts: sign-in, invitations, passwords, rate limits of the forms open to strangers."""
