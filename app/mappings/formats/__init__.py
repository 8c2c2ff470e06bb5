"""What hospital systems send, format by format: a decoder cuts bytes into messages and reads them
into neutral records. Each format has a folder; what they share is here.
"""
