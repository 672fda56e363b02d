package web

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"matchday/money"
	"matchday/odds"
	"matchday/sportsbook"
)

// frame is what every page has around it.
type frame struct {
	Title   string
	Active  string // which entry of the menu is this page's
	Path    string // of the request, to come back to
	Visitor visitor
	Choices []choice // jurisdictions a visitor may choose from
	MinAge  int
	Help    string // where to find help with gambling
	assets  *assets
}

// Asset returns the address of a file below assets/.
func (f frame) Asset(name string) string { return f.assets.path(name) }

// choice is one entry of a select.
type choice struct {
	Value, Label string
	MinAge       int
	Selected     bool
}

// symbols are the signs that pages put before an amount. Within a jurisdiction there is one
// currency, so its dollar is "$".
var symbols = map[money.Currency]string{money.USD: "$", money.CAD: "$", money.GBP: "£", money.EUR: "€", money.JPY: "¥"}

// amountText writes an amount for people: "$1,250.00", "−$3.50".
func amountText(m money.Money) string {
	text, negative := strings.CutPrefix(m.Amount(), "-")
	whole, fraction, hasFraction := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if hasFraction {
		whole += "." + fraction
	}
	if negative {
		return "−" + symbols[m.Currency()] + whole
	}
	return symbols[m.Currency()] + whole
}

// signedText is amountText with a plus before what came in.
func signedText(m money.Money) string {
	if m.Minor() > 0 {
		return "+" + amountText(m)
	}
	return amountText(m)
}

// minus turns the hyphen of a machine's number into a minus sign.
func minus(text string) string { return strings.Replace(text, "-", "−", 1) }

// lineText writes the line of a selection: "+3.5", "−3.5", "PK", "O 46.5".
func lineText(market sportsbook.MarketType, code string, line *odds.Line) string {
	if line == nil {
		return ""
	}
	text := minus(line.String())
	switch {
	case market == sportsbook.Total && code == sportsbook.CodeOver:
		return "O " + text
	case market == sportsbook.Total:
		return "U " + text
	case *line == 0:
		return "PK"
	case *line > 0:
		return "+" + text
	}
	return text
}

// marketNames are the names of markets on pages.
var marketNames = map[sportsbook.MarketType]string{
	sportsbook.Spread: "Spread", sportsbook.Total: "Total points", sportsbook.Moneyline: "Winner",
}

// priceView is one price button.
type priceView struct {
	SelectionID string
	MarketID    string
	EventID     string
	EventName   string
	Market      sportsbook.MarketType
	Name        string // of the selection
	Line        string // for people
	Price       string // for people
	RawLine     string // for the API
	RawPrice    string
	HasLine     bool
	Version     string
	Status      sportsbook.MarketStatus
	StartsAt    string
	Missing     bool // the event has no such market
	Lower       bool // second row of the board
}

// Open reports whether the button can be pressed.
func (p priceView) Open() bool { return p.Status == sportsbook.MarketOpen && p.RawPrice != "" }

// Label is what a screen reader says.
func (p priceView) Label() string {
	text := p.EventName + ", " + marketNames[p.Market] + ", " + p.Name
	if p.Line != "" {
		text += " " + p.Line
	}
	if !p.Open() {
		return text + ", " + string(p.Status)
	}
	return text + ", price " + p.Price
}

// gameView is one event on the board or on its own page.
type gameView struct {
	ID, Name             string
	Home, Away           string
	HomeCode, AwayCode   string
	HomeScore, AwayScore string
	Competition, Stadium string
	When                 string // "Sun 1:00 PM"
	StartsAt             string // RFC 3339
	Week                 int
	Live, Ended, Started bool
	Closed               bool   // no market takes bets any more
	Winner               string // home or away, of an ended game that is no tie
	Version              string
	Upper, Lower         [3]priceView // spread, total, winner; away and over above
	Markets              []marketView
}

// marketView is a market on an event's page.
type marketView struct {
	ID, Name string
	Status   sportsbook.MarketStatus
	Prices   []priceView
}

// columns is the order of markets on the board.
var columns = [3]sportsbook.MarketType{sportsbook.Spread, sportsbook.Total, sportsbook.Moneyline}

// game makes the view of an event.
func game(e sportsbook.Event, now time.Time, zone *time.Location) gameView {
	v := gameView{
		ID: e.ID, Name: e.Name, Home: e.Home, Away: e.Away,
		HomeCode: teamCode(e.HomeCode, e.Home), AwayCode: teamCode(e.AwayCode, e.Away),
		HomeScore: strconv.Itoa(e.HomeScore), AwayScore: strconv.Itoa(e.AwayScore),
		Competition: e.Competition, Stadium: e.Stadium, Week: e.Week,
		When: e.StartsAt.In(zone).Format("3:04 PM"), StartsAt: e.StartsAt.UTC().Format(time.RFC3339),
		Live: e.Status == sportsbook.EventLive, Ended: e.Status == sportsbook.EventEnded,
		Version: strconv.FormatInt(e.Version, 10),
	}
	if v.Ended && e.HomeScore != e.AwayScore {
		v.Winner = sportsbook.CodeHome
		if e.AwayScore > e.HomeScore {
			v.Winner = sportsbook.CodeAway
		}
	}
	v.Started = !v.Live && !v.Ended && !now.Before(e.StartsAt)
	v.Closed = (v.Live || v.Started || v.Ended) && !slices.ContainsFunc(e.Markets, func(m sportsbook.Market) bool {
		return m.Status == sportsbook.MarketOpen || m.Status == sportsbook.MarketSuspended
	})
	for i, column := range columns {
		v.Upper[i] = priceView{Market: column, Missing: true}
		v.Lower[i] = priceView{Market: column, Missing: true, Lower: true}
		for _, m := range e.Markets {
			if m.Type != column {
				continue
			}
			view := marketView{ID: m.ID, Name: marketNames[m.Type], Status: m.Status}
			for _, s := range m.Selections {
				p := price(e, m, s)
				p.Lower = s.Code == sportsbook.CodeHome || s.Code == sportsbook.CodeUnder
				if p.Lower {
					v.Lower[i] = p
				} else {
					v.Upper[i] = p
				}
			}
			view.Prices = append(view.Prices, v.Upper[i], v.Lower[i])
			v.Markets = append(v.Markets, view)
		}
	}
	return v
}

// price makes the button of a selection.
func price(e sportsbook.Event, m sportsbook.Market, s sportsbook.Selection) priceView {
	v := priceView{
		SelectionID: s.ID, MarketID: m.ID, EventID: e.ID, EventName: e.Name, Market: m.Type, Name: s.Name,
		Line: lineText(m.Type, s.Code, s.Line), Price: minus(s.Price.String()), RawPrice: s.Price.String(),
		Version: strconv.FormatInt(s.Version, 10), Status: m.Status, StartsAt: e.StartsAt.UTC().Format(time.RFC3339),
	}
	if s.Line != nil {
		v.RawLine, v.HasLine = s.Line.String(), true
	}
	return v
}

// teamCode returns the short form of a team for its crest: the given one, or its initials.
func teamCode(code, name string) string {
	if code != "" {
		return clipRunes(code, 3)
	}
	var initials strings.Builder
	for _, word := range strings.Fields(name) {
		first, _ := utf8.DecodeRuneInString(word)
		initials.WriteRune(unicode.ToUpper(first))
	}
	if utf8.RuneCountInString(initials.String()) >= 2 {
		return clipRunes(initials.String(), 3)
	}
	return strings.ToUpper(clipRunes(name, 3))
}

// clipRunes returns the first n characters of text.
func clipRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// crestColours are pairs of field and letters, each readable on the other.
var crestColours = [][2]string{
	{"#123f6d", "#f4d35e"}, {"#7a1f2b", "#ffffff"}, {"#0f5132", "#f7e8b0"}, {"#3b2a6b", "#ffd166"}, {"#1c1c28", "#7fd1c7"},
	{"#8a3d0a", "#fff1d6"}, {"#0b5563", "#ffffff"}, {"#5b1451", "#ffd9ec"}, {"#26425a", "#ff9f6b"}, {"#4a4a12", "#f7f3c8"},
	{"#164e63", "#fcd34d"}, {"#6b2d0f", "#9be7c4"},
}

// crestColour gives a team its colours by its name, always the same ones.
func crestColour(team string) [2]string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(team)) // a hash never fails
	return crestColours[h.Sum32()%uint32(len(crestColours))]
}

// dayGroup is one heading of the board with its games.
type dayGroup struct {
	Name, Note string
	Live       bool
	Games      []gameView
}

// groupByDay puts events that are in time order under headings: in play first, then day by day
// and competition by competition.
func groupByDay(events []sportsbook.Event, now time.Time, zone *time.Location) []dayGroup {
	var live, groups []dayGroup
	for _, e := range events {
		view := game(e, now, zone)
		if view.Live || view.Started {
			if live == nil {
				live = []dayGroup{{Name: "In play", Live: true}}
			}
			live[0].Games = append(live[0].Games, view)
			continue
		}
		name := dayName(e.StartsAt.In(zone), now)
		last := len(groups) - 1
		if last < 0 || groups[last].Name != name || groups[last].Note != e.Competition {
			groups = append(groups, dayGroup{Name: name, Note: e.Competition})
			last++
		}
		groups[last].Games = append(groups[last].Games, view)
	}
	return append(live, groups...)
}

// momentText writes a moment for people in a zone: "Sun Nov 28, 1:04 PM".
func momentText(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format("Mon Jan 2, 3:04 PM")
}

// pastText is momentText with the year, unless that is this year.
func pastText(t, now time.Time, zone *time.Location) string {
	if t.IsZero() || t.In(zone).Year() == now.In(zone).Year() {
		return momentText(t, zone)
	}
	return t.In(zone).Format("Mon Jan 2, 2006, 3:04 PM")
}
