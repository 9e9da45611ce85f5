"""Story pages: home, the chat page, chat files in and out, sampler settings, personas."""
