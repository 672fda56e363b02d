package api

import (
	"time"
)

// BalancesRequest asks for the balances of many accounts at once.
type BalancesRequest struct {
	Accounts  []string `json:"accounts" minItems:"1" maxItems:"1000" doc:"Addresses, answered in this order"`
	Positions []string `json:"positions,omitempty" maxItems:"256" doc:"Answer with at least these positions included, one a shard" example:"[\"0-42\"]"`
}

// BalancesResult has an item for each account asked for.
type BalancesResult struct {
	Items []BalanceItem `json:"items"`
}

// BalanceItem is one account's balance or why there is none.
type BalanceItem struct {
	Account string          `json:"account"`
	Balance *AccountBalance `json:"balance,omitempty"`
	Error   *ItemError      `json:"error,omitempty"`
}

// HoldLine is money reserved and not yet moved or given back.
type HoldLine struct {
	Key       string    `json:"key,omitempty" doc:"The hold's key as the calling service sent it, to post or release it; absent for holds of others"`
	Position  string    `json:"position"`
	Amount    Amount    `json:"amount"`
	To        string    `json:"to" doc:"The account it goes to when it is posted"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// TrialBalance is the books by type of account. Debits and credits of each currency are equal when
// all jurisdictions are shown.
type TrialBalance struct {
	At     time.Time    `json:"at"`
	Lines  []TrialLine  `json:"lines"`
	Totals []TrialTotal `json:"totals" doc:"By currency, of the lines shown"`
}

// TrialLine is what the accounts of one type hold together.
type TrialLine struct {
	Jurisdiction string `json:"jurisdiction" example:"US-NJ"`
	Currency     string `json:"currency" example:"USD"`
	Type         string `json:"type" example:"cash" doc:"Of account"`
	Name         string `json:"name,omitempty" example:"sportsbook" doc:"Product or provider, of house accounts"`
	Debit        string `json:"debit" example:"0.00"`
	Credit       string `json:"credit" example:"1250.00"`
}

// TrialTotal is the sum of a currency's lines.
type TrialTotal struct {
	Currency string `json:"currency"`
	Debit    string `json:"debit"`
	Credit   string `json:"credit"`
}

// GGRReport is gross gaming revenue over a period.
type GGRReport struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to" doc:"Not included"`
	Lines []GGRLine `json:"lines"`
}

// GGRLine is what a product took in one jurisdiction.
type GGRLine struct {
	Jurisdiction string `json:"jurisdiction" example:"US-NJ"`
	Currency     string `json:"currency" example:"USD"`
	Product      string `json:"product" example:"sportsbook"`
	Handle       string `json:"handle" example:"500.00" doc:"Stakes placed in the period"`
	Stakes       string `json:"stakes" example:"350.00" doc:"Stakes of bets settled in the period; voided ones are not among them"`
	Payouts      string `json:"payouts" example:"300.00" doc:"Paid out for them, stakes included"`
	GGR          string `json:"ggr" example:"50.00" doc:"Stakes less payouts, corrections included"`
	Voided       string `json:"voided" example:"80.00" doc:"Stakes given back as if never struck"`
	Corrections  string `json:"corrections" example:"0.00" doc:"The part of ggr that corrections of earlier settlements made"`
	Placed       int64  `json:"placed" doc:"Bets placed"`
	Settled      int64  `json:"settled" doc:"Bets settled, the first time"`
	VoidedCount  int64  `json:"voided_count"`
	Corrected    int64  `json:"corrected"`
}

// GroupRequest asks for transfers of which all commit or none.
type GroupRequest struct {
	Key       string            `json:"key" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._~-]+$" doc:"Kept for ever, as the keys of the transfers are"`
	Transfers []TransferRequest `json:"transfers" minItems:"1" maxItems:"1000"`
}

// GroupResult answers a group that was committed.
type GroupResult struct {
	Results []GroupItem `json:"results" doc:"In the order of the transfers"`
}

// GroupItem is the answer to one transfer of a group.
type GroupItem struct {
	Index  int            `json:"index"`
	Key    string         `json:"key"`
	Result TransferResult `json:"result"`
}

// LimitsRequest replaces the limits of an account.
type LimitsRequest struct {
	Key          string  `json:"key" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._~-]+$"`
	Currency     string  `json:"currency" example:"USD"`
	MinAvailable *string `json:"min_available,omitempty" example:"-50.00" doc:"Least available after a debit; below zero is a credit line. Absent: zero"`
	MaxBalance   *string `json:"max_balance,omitempty" example:"10000.00" doc:"Most posted after a credit. Absent: no bound"`
	Freeze       string  `json:"freeze,omitempty" enum:"none,debits,all" doc:"What the account refuses; none if absent"`
	IfVersion    int64   `json:"if_version" doc:"The version that this change was made for; 0 if the account has no limits yet"`
}

// AccountLimits are the limits of an account.
type AccountLimits struct {
	Account      string  `json:"account"`
	Version      int64   `json:"version" doc:"0: the account never had limits"`
	MinAvailable *Amount `json:"min_available,omitempty"`
	MaxBalance   *Amount `json:"max_balance,omitempty"`
	Freeze       string  `json:"freeze" enum:"none,debits,all"`
}

// MetadataRequest changes the metadata of an account.
type MetadataRequest struct {
	Key    string            `json:"key" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._~-]+$"`
	Set    map[string]string `json:"set,omitempty" doc:"Entries to add or overwrite"`
	Remove []string          `json:"remove,omitempty" maxItems:"16" doc:"Names of entries to take away"`
}

// AccountMetadata is the metadata of an account.
type AccountMetadata struct {
	Account  string            `json:"account"`
	Metadata map[string]string `json:"metadata"`
}
