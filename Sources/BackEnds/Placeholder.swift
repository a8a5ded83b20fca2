// BackEnds
