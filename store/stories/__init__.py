"""What a list of stories shows of each: its last line, its size, what it branched off, and where its title is from."""
