"""What a fit is without some of its rows, by refits, in closed form or by a Newton step."""
