package sportsbook

// teamNames are the places that the abbreviations of season files stand for.
var teamNames = map[string]string{
	"ARI": "Arizona", "ATL": "Atlanta", "BAL": "Baltimore", "BUF": "Buffalo", "CAR": "Carolina", "CHI": "Chicago",
	"CIN": "Cincinnati", "CLE": "Cleveland", "DAL": "Dallas", "DEN": "Denver", "DET": "Detroit", "GB": "Green Bay",
	"HOU": "Houston", "IND": "Indianapolis", "JAX": "Jacksonville", "KC": "Kansas City", "LA": "LA Rams",
	"LAC": "LA Chargers", "LV": "Las Vegas", "MIA": "Miami", "MIN": "Minnesota", "NE": "New England",
	"NO": "New Orleans", "NYG": "NY Giants", "NYJ": "NY Jets", "OAK": "Oakland", "PHI": "Philadelphia",
	"PIT": "Pittsburgh", "SEA": "Seattle", "SF": "San Francisco", "TB": "Tampa Bay", "TEN": "Tennessee",
	"WAS": "Washington",
}

// teamName returns the name for an abbreviation, or the abbreviation if it is not known.
func teamName(code string) string {
	if name, ok := teamNames[code]; ok {
		return name
	}
	return code
}
