package api

import (
	"net/http"
	"testing"

	"matchday/id"
	"matchday/ledger"
	"matchday/player"
)

// badOfMoves is what no route of moves may take.
func badOfMoves() []badValue {
	move := func(change func(*MoveRequest)) MoveRequest {
		from, to := 0, 1
		r := MoveRequest{Buckets: "0-9", From: &from, To: &to}
		change(&r)
		return r
	}
	at := func(n int) *int { return &n }
	const none, missing = "/v1/operator/moves/mov_none", "not_found"
	return []badValue{
		{"no buckets", "start-move", "", move(func(r *MoveRequest) { r.Buckets = "" }), "invalid", "buckets"},
		{"a bucket too many", "start-move", "", move(func(r *MoveRequest) { r.Buckets = "0-1024" }), "invalid", "buckets"},
		{"buckets that are none", "start-move", "", move(func(r *MoveRequest) { r.Buckets = "all" }), "invalid", "buckets"},
		{"no source", "start-move", "", move(func(r *MoveRequest) { r.From = nil }), "invalid", "from"},
		{"no destination", "start-move", "", move(func(r *MoveRequest) { r.To = nil }), "invalid", "to"},
		{"a source that is none", "start-move", "", move(func(r *MoveRequest) { r.From = at(-1) }), "invalid", "from"},
		{"a shard that is not there", "start-move", "", move(func(r *MoveRequest) { r.To = at(9) }), "invalid", "to"},
		{"the same shard", "start-move", "", move(func(r *MoveRequest) { r.To = at(0) }), "invalid", "to"},
		{"a rate below zero", "start-move", "", move(func(r *MoveRequest) { r.Rate = -1 }), "invalid", "rate"},
		{"another's buckets", "start-move", "", move(func(r *MoveRequest) { r.From, r.To = at(1), at(0) }), "conflict", ""},
		{"a rate below zero", "rebalance", "", RebalanceRequest{DryRun: true, Rate: -1}, "invalid", "rate"},
		{"one that is not there", "move", none, nil, missing, ""},
		{"one that is not there", "abort-move", none + "/abort", nil, missing, ""},
		{"a made-up cursor", "moves", "/v1/operator/moves?cursor=x", nil, "invalid", "query.cursor"},
		{"a page too long", "moves", "/v1/operator/moves?limit=201", nil, "invalid", "query.limit"},
	}
}

func TestBadMovesAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.refusesAll(t, s.trader(), badOfMoves())
	ontario := s.staff("ontario", player.RoleAdmin, on)
	from, to := 0, 1
	for _, answer := range []answer{
		s.do("POST", "/v1/operator/moves", ontario, MoveRequest{Buckets: "0", From: &from, To: &to}),
		s.do("POST", "/v1/operator/moves/rebalance", ontario, RebalanceRequest{DryRun: true}),
		s.do("POST", "/v1/operator/moves/mov_none/abort", ontario, nil),
		s.do("GET", "/v1/operator/moves/mov_none", ontario, nil),
		s.do("GET", "/v1/operator/moves", ontario, nil),
		s.do("POST", "/v1/operator/moves", s.staff("looker", player.RoleViewer, nj, pa, on), MoveRequest{Buckets: "0", From: &from, To: &to}),
	} {
		answer.wantCode("forbidden")
	}
	if list := into[List[Move]](s.do("GET", "/v1/operator/moves", s.staff("reader", player.RoleViewer, nj, pa, on), nil).want(http.StatusOK)); len(list.Items) != 0 {
		t.Errorf("refused requests left %+v", list.Items)
	}
}

// TestStaffMoveAPlayerWhoGoesOnBetting moves everybody of one shard to the other and some back.
func TestStaffMoveAPlayerWhoGoesOnBetting(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.trader()
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	list := ledger.FormatBuckets([]int{ledger.BucketOf(id.Player(p.ID))})
	from := s.ledger.ShardOf(id.Player(p.ID))
	to := 1 - from
	begun := into[Move](s.do("POST", "/v1/operator/moves", admin, MoveRequest{Buckets: list, From: &from, To: &to}).want(http.StatusAccepted))
	if begun.By != "trader" || begun.Count != 1 || begun.Buckets != list {
		t.Errorf("got %+v, want a move by trader of %s", begun, list)
	}
	path := "/v1/operator/moves/" + begun.ID
	s.poll("the move to be done", func() bool {
		return into[Move](s.do("GET", path, admin, nil).want(http.StatusOK)).Step == ledger.MoveDone
	})
	s.do("POST", path+"/abort", admin, nil).wantCode("conflict")
	if got := s.ledger.ShardOf(id.Player(p.ID)); got != to {
		t.Errorf("the player is on shard %d, want %d", got, to)
	}
	if got := into[Balance](s.do("GET", "/v1/me/balance", token, nil).want(http.StatusOK)).Available; got.Amount != "100.00" {
		t.Errorf("the player has %v after the move, want 100.00", got)
	}
	s.fund(token, "5.00", "USD")
	plan := into[List[Move]](s.do("POST", "/v1/operator/moves/rebalance", admin, RebalanceRequest{DryRun: true}).want(http.StatusAccepted)).Items
	if len(plan) != 1 || plan[0].Count != 1 || plan[0].From != to || plan[0].Step != "planned" {
		t.Fatalf("plan %+v, want one bucket back from shard %d", plan, to)
	}
	done := into[List[Move]](s.do("POST", "/v1/operator/moves/rebalance", admin, RebalanceRequest{}).want(http.StatusAccepted)).Items
	if len(done) != 1 {
		t.Fatalf("moves %+v, want one", done)
	}
	page := into[List[Move]](s.do("GET", "/v1/operator/moves?limit=1", admin, nil).want(http.StatusOK))
	if len(page.Items) != 1 || page.Items[0].ID != done[0].ID || page.Next == "" {
		t.Fatalf("page %+v, want the newest move and a cursor", page)
	}
	page = into[List[Move]](s.do("GET", "/v1/operator/moves?cursor="+page.Next, admin, nil).want(http.StatusOK))
	if len(page.Items) != 1 || page.Items[0].ID != begun.ID || page.Next != "" {
		t.Fatalf("page %+v, want the first move and no cursor", page)
	}
	s.poll("the spread to be even", func() bool {
		return into[Move](s.do("GET", "/v1/operator/moves/"+done[0].ID, admin, nil).want(http.StatusOK)).Step == ledger.MoveDone
	})
}
