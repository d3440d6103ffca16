"""For people who do not look: what is wrong with a lake, told once by mail, chat or webhook, and once when over."""
