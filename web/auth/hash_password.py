"""`python -m web.auth.hash_password`: reads a password, prints its argon2id hash.

`inglenook user password` calls it, for deploy has no argon2. Exit status 1 with a sentence where the password is too
short or too long.
"""

import sys

from web.auth.passwords import MAX_LENGTH, MIN_LENGTH, hash_password


def main() -> int:
    """One line in, one line out."""
    password = sys.stdin.readline().rstrip("\n")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        sys.stderr.write(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters: choose another one.\n")
        return 1
    sys.stdout.write(hash_password(password) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
