package sim

import (
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// move is a price that a market is to move to. It is applied to the selection that has this market,
// code and line when its time comes.
type move struct {
	market string
	code   string
	line   string // "" for a moneyline
	price  int
}

// quotesBeside returns the path of the quote file that belongs to a season file, if there is one.
func quotesBeside(slate string) string {
	dir, name := filepath.Split(slate)
	rest, ok := strings.CutPrefix(name, "season_")
	if !ok {
		return ""
	}
	path := filepath.Join(dir, "quotes_"+rest)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err != nil {
		return ""
	}
	return path
}

// openMoves reads the quote file at path.
func openMoves(path string, games []Game) (map[string][]move, error) {
	f, err := os.Open(path) // #nosec: found beside the season file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	return readMoves(f, games)
}

// readMoves reads the quotes of the day's games as moves, by game. Odd and missing values are passed
// over, and so are prices that a trader would not follow.
func readMoves(r io.Reader, games []Game) (map[string][]move, error) {
	wanted := make(map[string]Game, len(games))
	for _, g := range games {
		wanted[g.ID] = g
	}
	in := csv.NewReader(r)
	in.ReuseRecord = true
	if _, err := in.Read(); err != nil {
		return nil, err
	}
	moves := make(map[string][]move)
	for {
		row, err := in.Read()
		if err == io.EOF {
			return moves, nil
		}
		if err != nil {
			return nil, err
		}
		game, ok := wanted[row[0]]
		if !ok || len(row) < quoteColumns {
			continue
		}
		moves[game.ID] = append(moves[game.ID], quoted(game, row)...)
	}
}

// quoteColumns are game, market, selection, book, and line and price at opening and at closing.
const quoteColumns = 8

// quoted returns the opening and the closing quote of a row.
func quoted(g Game, row []string) []move {
	m := move{market: strings.Replace(strings.Clone(row[1]), "money_line", "moneyline", 1)}
	switch row[2] {
	case g.Home:
		m.code = "home"
	case g.Away:
		m.code = "away"
	case "over", "under":
		m.code = strings.Clone(row[2])
	default:
		return nil
	}
	var out []move
	for _, quote := range [2][2]string{{row[4], row[5]}, {row[6], row[7]}} {
		price, err := strconv.Atoi(quote[1])
		if err != nil || !followable(price) {
			continue
		}
		if m.market != "moneyline" {
			line, err := strconv.ParseFloat(quote[0], 64)
			if err != nil {
				continue
			}
			m.line = strconv.FormatFloat(line, 'f', -1, 64)
		}
		m.price = price
		out = append(out, m)
	}
	return out
}

// followable reports whether a price is an American price of ordinary size.
func followable(price int) bool {
	return (price >= 100 && price <= 2_500) || (price <= -100 && price >= -4_000)
}

// drawMove returns a small move of a random selection, for days without a quote file.
func drawMove(rng *rand.Rand, shown []selection) (move, bool) {
	if len(shown) == 0 {
		return move{}, false
	}
	s := shown[rng.IntN(len(shown))]
	price, err := strconv.Atoi(s.price)
	if err != nil {
		return move{}, false
	}
	price += 1 + rng.IntN(9) - 5
	if price > -100 && price < 100 {
		price = 100
	}
	return move{market: s.market, code: s.code, line: s.line, price: price}, true
}
