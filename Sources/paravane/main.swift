print("paravane")
