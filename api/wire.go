package api

import (
	"encoding/json"
	"time"
)

// The types of this file are the JSON of the API, field for field. Amounts are decimal strings with
// their currency, prices are American strings with the decimal odds beside them, times are UTC.

// Amount is an amount of money.
type Amount struct {
	Amount   string `json:"amount" example:"25.00" doc:"Decimal amount with at most the currency's digits"`
	Currency string `json:"currency" example:"USD" doc:"ISO 4217 code"`
}

// None is the answer of a route that answers nothing: 204.
type None struct{}

// List is one page of a longer list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// SignUpRequest opens a player's account.
type SignUpRequest struct {
	Email        string `json:"email" format:"email" maxLength:"254"`
	Password     string `json:"password" minLength:"10" maxLength:"200"`
	DisplayName  string `json:"display_name" minLength:"1" maxLength:"40"`
	BirthDate    string `json:"birth_date" format:"date"`
	Jurisdiction string `json:"jurisdiction" example:"US-NJ"`
}

// Player is a person in one jurisdiction.
type Player struct {
	ID           string    `json:"id"`
	Jurisdiction string    `json:"jurisdiction" example:"US-NJ"`
	Email        string    `json:"email"`
	DisplayName  string    `json:"display_name"`
	Status       string    `json:"status" enum:"active,suspended,excluded,closed"`
	CreatedAt    time.Time `json:"created_at"`
}

// SignInRequest asks for a player's session.
type SignInRequest struct {
	Email        string `json:"email"`
	Password     string `json:"password"`
	Jurisdiction string `json:"jurisdiction" example:"US-NJ"`
}

// StaffSignInRequest asks for a staff session.
type StaffSignInRequest struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Session is a fresh session with its token: the one time it is shown.
type Session struct {
	Token          string     `json:"token" doc:"Send it as Authorization: Bearer"`
	ExpiresAt      time.Time  `json:"expires_at"`
	PreviousSignIn *time.Time `json:"previous_sign_in" doc:"Null at the first sign-in"`
	PlayerID       string     `json:"player_id,omitempty"`
	Jurisdiction   string     `json:"jurisdiction,omitempty" doc:"The player's"`
	Staff          string     `json:"staff,omitempty" doc:"Name of the staff account"`
	Jurisdictions  []string   `json:"jurisdictions,omitempty" doc:"The staff account's"`
}

// Me is the signed-in player and their session.
type Me struct {
	Player         Player     `json:"player"`
	ExpiresAt      time.Time  `json:"session_expires_at"`
	PreviousSignIn *time.Time `json:"previous_sign_in"`
}

// Balance is the player's cash.
type Balance struct {
	Available Amount `json:"available" doc:"What can be staked or withdrawn: posted less held"`
	Posted    Amount `json:"posted"`
	Held      Amount `json:"held"`
	Position  string `json:"position" doc:"Everything up to here is included"`
}

// PaymentRequest asks for a deposit or a withdrawal.
type PaymentRequest struct {
	Amount Amount `json:"amount"`
	Method string `json:"method" example:"card" doc:"Sandbox methods: card, card-declined, card-timeout, card-slow"`
}

// Payment is a deposit or a withdrawal.
type Payment struct {
	ID        string    `json:"id"`
	Direction string    `json:"direction" enum:"deposit,withdrawal"`
	Amount    Amount    `json:"amount"`
	Status    string    `json:"status" enum:"pending,completed,declined,returned"`
	Provider  string    `json:"provider"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Position  string    `json:"position,omitempty" doc:"Of the last money it moved"`
}

// StatementLine is one movement of an account.
type StatementLine struct {
	Position string    `json:"position"`
	Kind     string    `json:"kind" example:"stake"`
	At       time.Time `json:"at"`
	Amount   Amount    `json:"amount" doc:"Negative when money left the account"`
	Balance  Amount    `json:"balance" doc:"Posted balance after it"`
	Subject  string    `json:"subject,omitempty" doc:"What it was for, for example a bet id"`
	Key      string    `json:"key,omitempty" doc:"The transfer's key as the calling service sent it; absent for keys of others"`
}

// LegRequest is one selection of a bet with line and price as the player saw them.
type LegRequest struct {
	SelectionID string  `json:"selection_id"`
	Price       string  `json:"price" example:"-110" doc:"American"`
	Line        *string `json:"line,omitempty" nullable:"true" example:"-3.5" doc:"Of a spread or total; absent or null for a moneyline"`
}

// BetRequest asks for a bet; several legs make a parlay.
type BetRequest struct {
	Stake       Amount       `json:"stake"`
	Legs        []LegRequest `json:"legs" minItems:"1" maxItems:"25"`
	PriceChange string       `json:"price_change,omitempty" enum:"none,better,any" doc:"Which changes the player accepts; none if absent"`
}

// Leg is one selection of a bet, as accepted.
type Leg struct {
	EventID       string    `json:"event_id"`
	EventName     string    `json:"event_name"`
	Sport         string    `json:"sport,omitempty" doc:"Absent for bets from before it was recorded"`
	Competition   string    `json:"competition,omitempty" doc:"Absent likewise"`
	StartsAt      time.Time `json:"starts_at"`
	MarketID      string    `json:"market_id"`
	Market        string    `json:"market" enum:"moneyline,spread,total"`
	SelectionID   string    `json:"selection_id"`
	Selection     string    `json:"selection" enum:"home,away,over,under"`
	SelectionName string    `json:"selection_name"`
	Line          *string   `json:"line"`
	Price         string    `json:"price" example:"-110"`
	PriceDecimal  string    `json:"price_decimal" example:"1.909"`
	Outcome       string    `json:"outcome,omitempty" enum:"won,lost,push,void" doc:"Absent while undecided"`
}

// Bet is a bet as history shows it.
type Bet struct {
	ID              string     `json:"id"`
	Product         string     `json:"product" example:"sportsbook"`
	Status          string     `json:"status" enum:"open,won,lost,push,void"`
	Version         int        `json:"version" doc:"Rises with each settlement"`
	PlacedAt        time.Time  `json:"placed_at"`
	SettledAt       *time.Time `json:"settled_at"`
	Stake           Amount     `json:"stake"`
	PotentialPayout Amount     `json:"potential_payout" doc:"Stake included"`
	Payout          *Amount    `json:"payout,omitempty" doc:"Stake included; absent while open"`
	Legs            []Leg      `json:"legs"`
}

// BetLife is a bet with all that has happened to it.
type BetLife struct {
	Bet
	PlacedPosition string          `json:"placed_position" doc:"Of the stake in the ledger's log"`
	Settlements    []BetSettlement `json:"settlements" doc:"Oldest first; the last is what the bet shows"`
	Position       string          `json:"position" doc:"Everything up to here is included"`
	FreshAt        time.Time       `json:"fresh_at" doc:"Everything that was committed until then is included"`
}

// BetSettlement is one settlement of a bet: the first, or a correction.
type BetSettlement struct {
	Version  int       `json:"version"`
	Status   string    `json:"status" enum:"open,won,lost,push,void" doc:"Open where a correction left the bet undecided again"`
	At       time.Time `json:"at"`
	Position string    `json:"position" doc:"Of the settlement in the ledger's log"`
	Payout   Amount    `json:"payout" doc:"In all, not the difference to the settlement before"`
	Outcomes []string  `json:"outcomes" doc:"Of the legs, in their order; empty while undecided"`
}

// BetSummary is sums of a player's bets by period.
type BetSummary struct {
	Lines    []BetSummaryLine `json:"lines" doc:"Newest period first, then by product and currency; a period without bets has none"`
	Next     string           `json:"next,omitempty"`
	Zone     string           `json:"zone" example:"America/New_York" doc:"Time zone of the days"`
	Position string           `json:"position" doc:"Everything up to here is included"`
	FreshAt  time.Time        `json:"fresh_at" doc:"Everything that was committed until then is included"`
}

// BetSummaryLine is the bets of one product and currency that were placed in one period.
type BetSummaryLine struct {
	Period   string `json:"period" example:"2026-11"`
	Product  string `json:"product" example:"sportsbook"`
	Bets     int64  `json:"bets"`
	Open     int64  `json:"open" doc:"Of bets, those that are undecided"`
	Staked   Amount `json:"staked" doc:"By all bets"`
	AtStake  Amount `json:"at_stake" doc:"Of staked, what is on open bets"`
	Returned Amount `json:"returned" doc:"Paid back, stakes included"`
	Net      Amount `json:"net" doc:"Returned less the stakes of decided bets; below zero is lost"`
}

// Bets is a page of a player's bets with how fresh it is.
type Bets struct {
	Items    []Bet     `json:"items"`
	Next     string    `json:"next,omitempty"`
	Position string    `json:"position" doc:"Everything up to here is included"`
	FreshAt  time.Time `json:"fresh_at"`
}

// Receipt is the answer to an accepted bet.
type Receipt struct {
	ID              string    `json:"id"`
	Status          string    `json:"status" enum:"open"`
	PlacedAt        time.Time `json:"placed_at"`
	Stake           Amount    `json:"stake"`
	PotentialPayout Amount    `json:"potential_payout"`
	Legs            []Leg     `json:"legs"`
	Balance         Amount    `json:"balance" doc:"Posted cash after the stake"`
	Position        string    `json:"position"`
	Replayed        bool      `json:"replayed" doc:"This key had been answered before; this is the first answer"`
}

// Quote is what a bet would pay now.
type Quote struct {
	Stake           Amount        `json:"stake"`
	PotentialPayout Amount        `json:"potential_payout"`
	Legs            []Leg         `json:"legs" doc:"With the prices and lines of now"`
	Changes         []PriceChange `json:"changes" doc:"Where the offer differs from what the slip shows"`
}

// PriceChange is one leg whose offer moved, in the problem of a refused bet.
type PriceChange struct {
	SelectionID string  `json:"selection_id"`
	AskedPrice  string  `json:"asked_price"`
	NowPrice    string  `json:"now_price" doc:"Empty when the selection is no longer offered"`
	AskedLine   *string `json:"asked_line"`
	NowLine     *string `json:"now_line"`
}

// Event is a match with its markets.
type Event struct {
	ID            string    `json:"id"`
	Sport         string    `json:"sport"`
	Competition   string    `json:"competition"`
	Name          string    `json:"name"`
	Home          string    `json:"home"`
	Away          string    `json:"away"`
	HomeCode      string    `json:"home_code,omitempty" example:"TEN"`
	AwayCode      string    `json:"away_code,omitempty" example:"BUF"`
	Stadium       string    `json:"stadium,omitempty"`
	StartsAt      time.Time `json:"starts_at"`
	Status        string    `json:"status" enum:"scheduled,live,ended"`
	HomeScore     int       `json:"home_score"`
	AwayScore     int       `json:"away_score"`
	Season        int       `json:"season,omitzero"`
	Week          int       `json:"week,omitzero"`
	Version       int64     `json:"version"`
	ResultVersion int       `json:"result_version" doc:"0 until a result is entered"`
	Markets       []Market  `json:"markets"`
}

// Market is one question about an event.
type Market struct {
	ID         string      `json:"id"`
	Type       string      `json:"type" enum:"moneyline,spread,total"`
	Status     string      `json:"status" enum:"open,suspended,closed,settled,void"`
	Version    int64       `json:"version"`
	Selections []Selection `json:"selections"`
}

// Selection is one answer with its price in the caller's jurisdiction.
type Selection struct {
	ID           string  `json:"id"`
	Name         string  `json:"name"`
	Code         string  `json:"code" enum:"home,away,over,under"`
	Line         *string `json:"line"`
	Price        string  `json:"price" example:"-110"`
	PriceDecimal string  `json:"price_decimal" example:"1.909"`
	Version      int64   `json:"version"`
}

// Jurisdiction is a licensed territory with its limits.
type Jurisdiction struct {
	Code          string   `json:"code" example:"US-NJ"`
	Name          string   `json:"name"`
	Currency      string   `json:"currency"`
	MinimumAge    int      `json:"minimum_age"`
	Products      []string `json:"products"`
	MinStake      Amount   `json:"min_stake"`
	MaxStake      Amount   `json:"max_stake"`
	MaxPayout     Amount   `json:"max_payout"`
	MaxLegs       int      `json:"max_legs"`
	MinDeposit    Amount   `json:"min_deposit"`
	MaxDeposit    Amount   `json:"max_deposit"`
	MinWithdrawal Amount   `json:"min_withdrawal"`
}

// NewEvent describes an event to create.
type NewEvent struct {
	ID            string      `json:"id" doc:"3 to 80 of A-Z a-z 0-9 _ -"`
	Sport         string      `json:"sport"`
	Competition   string      `json:"competition"`
	Home          string      `json:"home"`
	Away          string      `json:"away"`
	HomeCode      string      `json:"home_code,omitempty"`
	AwayCode      string      `json:"away_code,omitempty"`
	Stadium       string      `json:"stadium,omitempty"`
	Season        int         `json:"season,omitzero"`
	Week          int         `json:"week,omitzero"`
	StartsAt      time.Time   `json:"starts_at"`
	Jurisdictions []string    `json:"jurisdictions,omitempty" doc:"All if absent"`
	Markets       []NewMarket `json:"markets" maxItems:"20"`
}

// NewMarket is one market of an event to create.
type NewMarket struct {
	Type   string            `json:"type" enum:"moneyline,spread,total"`
	Line   *string           `json:"line,omitempty" nullable:"true" example:"-3.5" doc:"Of the home or over selection; absent or null for a moneyline"`
	Prices map[string]string `json:"prices" doc:"American prices by selection code: home and away, or over and under"`
}

// ImportReport is what an import did.
type ImportReport struct {
	Rows      int      `json:"rows"`
	Games     int      `json:"games" doc:"Of the rows, those that were asked for"`
	Created   int      `json:"created"`
	Updated   int      `json:"updated"`
	Unchanged int      `json:"unchanged"`
	NoMarket  []string `json:"no_market" doc:"Events without a market for want of prices, the first 200"`
}

// QuotesReport is what a quote file did.
type QuotesReport struct {
	Rows       int       `json:"rows"`
	Applied    int       `json:"applied" doc:"Changes of a market's prices and line"`
	Refused    int       `json:"refused" doc:"Changes of markets that take no bets any more"`
	PassedOver int       `json:"passed_over" doc:"Quotes with odd or missing values, without their other side, or of games that are not on offer"`
	Notes      []RowNote `json:"notes" doc:"Why quotes were passed over, the first 100"`
}

// RowNote is about one line of a file.
type RowNote struct {
	Line    int    `json:"line"`
	Column  string `json:"column,omitempty"`
	Message string `json:"message"`
}

// SetPriceRequest changes a selection's price.
type SetPriceRequest struct {
	Price        string  `json:"price" example:"-115"`
	Line         *string `json:"line,omitempty" nullable:"true" doc:"Required for a spread or total"`
	Jurisdiction string  `json:"jurisdiction,omitempty" doc:"Only there; everywhere if absent"`
	Version      int64   `json:"expected_version,omitempty" doc:"Refuses with conflict if the selection has another one"`
}

// SetPricesRequest changes a market's prices and its line in one step.
type SetPricesRequest struct {
	Prices       map[string]string `json:"prices" doc:"American prices by selection code; codes not named keep theirs"`
	Line         *string           `json:"line,omitempty" nullable:"true" doc:"Of the home or over selection; absent or null keeps it"`
	Jurisdiction string            `json:"jurisdiction,omitempty" doc:"Only there; everywhere if absent"`
	Version      int64             `json:"expected_version,omitempty" doc:"Refuses with conflict if the market has another one"`
}

// MarketStatusRequest opens, suspends or closes a market.
type MarketStatusRequest struct {
	Status  string `json:"status" enum:"open,suspended,closed"`
	Version int64  `json:"expected_version,omitempty" doc:"Refuses with conflict if the market has another one"`
}

// SuspensionRequest suspends all markets of an event, or lifts that.
type SuspensionRequest struct {
	Suspended *bool `json:"suspended" nullable:"false"`
}

// ScoreRequest is a score in play.
type ScoreRequest struct {
	HomeScore *int `json:"home_score" minimum:"0" maximum:"999" nullable:"false"`
	AwayScore *int `json:"away_score" minimum:"0" maximum:"999" nullable:"false"`
}

// ResultRequest is a final score. A second one for the same event is a correction.
type ResultRequest struct {
	HomeScore     *int `json:"home_score" minimum:"0" maximum:"999" nullable:"false"`
	AwayScore     *int `json:"away_score" minimum:"0" maximum:"999" nullable:"false"`
	ResultVersion *int `json:"expected_result_version,omitempty" nullable:"false" doc:"The version of the result that this one corrects, as the event shows it; 0 or absent for the first. Conflict if the event has another one"`
}

// ResultEntered says which settlement a result began.
type ResultEntered struct {
	SettlementID string `json:"settlement_id"`
}

// VoidRequest voids a market.
type VoidRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"200"`
}

// Settlement is how far the settlement of one decision, a result or a void, is.
type Settlement struct {
	ID        string     `json:"id"`
	EventID   string     `json:"event_id"`
	EventName string     `json:"event_name,omitempty"`
	Version   int        `json:"version" doc:"Of the decision: above 1 a correction or a void"`
	MarketID  string     `json:"market_id,omitempty" doc:"Of a void"`
	Bets      int64      `json:"bets" doc:"With a leg in the decided markets"`
	Settled   int64      `json:"settled" doc:"Of them, settled; the rest waits for other legs or is on its way"`
	Paid      int64      `json:"paid" doc:"Of the settled, those that pay something"`
	StartedAt time.Time  `json:"started_at"`
	DoneAt    *time.Time `json:"done_at"`
}

// Exposure is the worst case of one selection in one jurisdiction.
type Exposure struct {
	EventID      string `json:"event_id"`
	EventName    string `json:"event_name,omitempty"`
	MarketID     string `json:"market_id"`
	SelectionID  string `json:"selection_id"`
	Jurisdiction string `json:"jurisdiction"`
	Bets         int64  `json:"bets"`
	Stake        Amount `json:"stake"`
	Payout       Amount `json:"payout" doc:"Potential payouts of the bets that have it as a leg"`
	Limit        Amount `json:"limit"`
}

// Shard is the state of one ledger shard.
type Shard struct {
	Shard             int        `json:"shard"`
	Position          int64      `json:"position"`
	Epoch             int64      `json:"epoch"`
	QueuedInteractive int        `json:"queued_interactive"`
	QueuedBulk        int        `json:"queued_bulk"`
	Committed         uint64     `json:"committed" doc:"Transfers since the process began"`
	LastMinute        int64      `json:"transfers_last_minute" doc:"Committed within it"`
	LastCommit        *time.Time `json:"last_commit"`
	StreamPosition    *int64     `json:"stream_position" doc:"How far the shard's stream shows its log; null if it is not published here"`
	State             string     `json:"state" enum:"writing,elsewhere,trouble,quarantined" doc:"writing: by this process; elsewhere: by another one; trouble: by nobody now, or its database does not take writes; quarantined: its database lacks commits that were answered, an operator must act"`
	Trouble           string     `json:"trouble,omitempty" doc:"What is wrong, in states trouble and quarantined"`
	Owner             string     `json:"owner,omitempty" doc:"Of several processes the one that writes it"`
	Engine            string     `json:"engine" doc:"sqlite, or the name of the cluster"`
	Bytes             int64      `json:"bytes" doc:"On disk, some seconds ago; 0 if it is not known"`
	Buckets           int        `json:"buckets" doc:"Of 1,024 that the players are cut into"`
}

// Lag is how far history is behind one ledger shard.
type Lag struct {
	Shard      int     `json:"shard"`
	History    string  `json:"history" enum:"first,second" example:"first" doc:"The one that players see; first unless everybody was shown a second one"`
	Position   int64   `json:"position" doc:"History shows everything up to here"`
	Head       int64   `json:"head" doc:"The ledger's last position"`
	LagSeconds float64 `json:"lag_seconds"`
	Here       bool    `json:"here" doc:"This process applies the log; of several, the one that writes the shard does"`
	Trouble    string  `json:"trouble,omitempty" example:"another process has claimed it under a higher epoch" doc:"Why this process does not apply the log although it writes the shard; nobody else will"`

	CatchingUp *CatchingUp `json:"catching_up,omitempty" doc:"While history is more than ten seconds behind: one that fills itself, or that has been away"`
}

// CatchingUp is how history comes nearer to the end of a shard's log.
type CatchingUp struct {
	Remaining   int64   `json:"remaining" doc:"Positions of the log that history does not show yet"`
	Rate        int64   `json:"rate" doc:"Positions applied in a second, lately; 0 while not known"`
	Added       int64   `json:"added" doc:"Positions that the log gets in a second, meanwhile"`
	LeftSeconds float64 `json:"left_seconds" doc:"How long it still takes, by the trend until now, with what the log gets meanwhile; 0 while not known, or where the log gets nearly as much as is applied"`
}

// Rates are counts per second over the last minutes, oldest first; all series are of one length.
type Rates struct {
	From        time.Time `json:"from" doc:"Start of the first step"`
	StepSeconds int       `json:"step_seconds"`
	Deposits    []int64   `json:"deposits"`
	Bets        []int64   `json:"bets"`
	Reads       []int64   `json:"reads" doc:"Reads by players over HTTP"`
	Payouts     []int64   `json:"payouts" doc:"Settlements that paid something"`
}

// Audit is the state of the ledger audit of this process.
type Audit struct {
	Status    string          `json:"status" enum:"never,running,clean,broken,stopped"`
	StartedBy string          `json:"started_by,omitempty"`
	StartedAt *time.Time      `json:"started_at"`
	DoneAt    *time.Time      `json:"done_at"`
	Progress  []AuditProgress `json:"progress"`
	Findings  []string        `json:"findings" doc:"The first broken rows"`
}

// AuditProgress is how far the audit is in one shard.
type AuditProgress struct {
	Shard int   `json:"shard"`
	Seq   int64 `json:"seq"`
	Head  int64 `json:"head"`
}

// PostingJSON is one signed line of a transfer.
type PostingJSON struct {
	Account string `json:"account" example:"player/plr_01jb2m7k3v9q8w5x4y6z7a0b1c/US-NJ/cash"`
	Amount  string `json:"amount" example:"-25.00" doc:"Signed, in the transfer's currency; positive credits the account"`
}

// RecordJSON is the record that commits with a transfer.
type RecordJSON struct {
	Type    string          `json:"type" maxLength:"200" doc:"Not of the platform's own: must not begin with matchday."`
	Subject string          `json:"subject" maxLength:"200"`
	Data    json.RawMessage `json:"data" doc:"A JSON object, at most 16 KiB"`
}

// TransferRequest asks for a transfer.
type TransferRequest struct {
	Key          string        `json:"key" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._~-]+$" doc:"Kept for ever: the same key and request answers as the first time"`
	Kind         string        `json:"kind" example:"deposit"`
	PlayerID     string        `json:"player_id"`
	Jurisdiction string        `json:"jurisdiction"`
	Currency     string        `json:"currency"`
	Postings     []PostingJSON `json:"postings" minItems:"2" maxItems:"8"`
	Record       *RecordJSON   `json:"record,omitempty"`

	Metadata map[string]string `json:"metadata,omitempty" doc:"Kept with the transfer and part of what its key stands for: at most 16 entries, names of 64 and values of 512 bytes"`
}

// BatchRequest asks for many transfers; each stands for itself.
type BatchRequest struct {
	Transfers []TransferRequest `json:"transfers" minItems:"1" maxItems:"1000"`
}

// HoldRequest reserves money.
type HoldRequest struct {
	Key          string        `json:"key" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._~-]+$"`
	PlayerID     string        `json:"player_id"`
	Jurisdiction string        `json:"jurisdiction"`
	Currency     string        `json:"currency"`
	Postings     []PostingJSON `json:"postings" minItems:"2" maxItems:"2" doc:"What moves when it is posted in full"`
	ExpiresAt    time.Time     `json:"expires_at"`
	Record       *RecordJSON   `json:"record,omitempty"`
}

// ResolveRequest posts or releases a hold.
type ResolveRequest struct {
	Key          string      `json:"key" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._~-]+$" doc:"Of this resolution, not of the hold"`
	PlayerID     string      `json:"player_id"`
	Jurisdiction string      `json:"jurisdiction"`
	Currency     string      `json:"currency"`
	Amount       string      `json:"amount,omitempty" doc:"With post: how much; all if absent, the rest is released"`
	Record       *RecordJSON `json:"record,omitempty"`
}

// TransferResult is the answer to one transfer.
type TransferResult struct {
	Position string          `json:"position,omitempty" doc:"Where in the log it is; a dry run has none unless the key was used before"`
	At       time.Time       `json:"at"`
	Replayed bool            `json:"replayed"`
	Balances []string        `json:"balances" doc:"Posted balance of each posting's account after it"`
	Data     json.RawMessage `json:"data,omitzero" doc:"The record's payload as first committed; with replays only"`
}

// BatchItem is the answer to one item of a batch: a result or an error.
type BatchItem struct {
	Index  int             `json:"index"`
	Key    string          `json:"key"`
	Result *TransferResult `json:"result,omitempty"`
	Error  *ItemError      `json:"error,omitempty"`
}

// ItemError is why one item of a batch was not committed.
type ItemError struct {
	Code   string       `json:"code"`
	Detail string       `json:"detail,omitempty"`
	Errors []FieldError `json:"errors,omitempty"`
}

// BatchResult answers a batch, item by item in the order asked.
type BatchResult struct {
	Committed int         `json:"committed"`
	Failed    int         `json:"failed"`
	Results   []BatchItem `json:"results"`
}

// AccountBalance is the balance of a ledger account.
type AccountBalance struct {
	Account   string `json:"account"`
	Posted    Amount `json:"posted"`
	Held      Amount `json:"held"`
	Available Amount `json:"available"`
	Position  string `json:"position,omitempty" doc:"Of a player's account; house accounts are sums over shards"`
}

// LivePrice says that a price or line moved.
type LivePrice struct {
	EventID      string  `json:"event_id"`
	MarketID     string  `json:"market_id"`
	SelectionID  string  `json:"selection_id"`
	Line         *string `json:"line"`
	Price        string  `json:"price"`
	PriceDecimal string  `json:"price_decimal"`
	Version      int64   `json:"version"`
}

// LiveMarket says that a market opened, was suspended, closed, settled or voided.
type LiveMarket struct {
	EventID  string `json:"event_id"`
	MarketID string `json:"market_id"`
	Status   string `json:"status"`
	Version  int64  `json:"version"`
}

// LiveScore says that a score, an event's status or a result changed.
type LiveScore struct {
	EventID       string `json:"event_id"`
	Status        string `json:"status"`
	HomeScore     int    `json:"home_score"`
	AwayScore     int    `json:"away_score"`
	ResultVersion int    `json:"result_version"`
	Version       int64  `json:"version"`
}
