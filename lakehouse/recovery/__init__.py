"""Points to go back to, and back to them: releases, rewind, maintain, check."""
