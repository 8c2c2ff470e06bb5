"""Tables as hospitals export and spreadsheets save them; receipts as tables for the sender."""
