"""What users write, as data: decorators that leave classes ordinary, and the specifications read off them."""
