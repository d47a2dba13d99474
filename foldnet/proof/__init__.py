"""Whether a fold is what it says: forms compared, promises counted again, and the certificate."""
