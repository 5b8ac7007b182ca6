"""HTTP for the browser: parse, await a room's function, answer."""
