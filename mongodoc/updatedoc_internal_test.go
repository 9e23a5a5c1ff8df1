package mongodoc

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// Whatever an update is, what is accepted leaves the ledger alone, and ends with the ledger's own.
func FuzzForm(f *testing.F) {
	for _, update := range []bson.D{
		{expr.Field("$inc", bson.D{expr.Field("n", 1)})},
		{expr.Field("$rename", bson.D{expr.Field("a", "_onceish")})},
		{expr.Field("$push", bson.D{expr.Field("_onceish.applied", 1)})},
		{expr.Field("$set", 1)},
		{expr.Field("n", 1)},
		{},
		{expr.Field("$set", bson.D{expr.Field("a.$.b", 1)})},
	} {
		doc, err := bson.Marshal(update)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc, true)
		f.Add(doc, false)
	}
	t := &filterTarget{uniqueFilter: bson.D{expr.Field("email", "a")}}
	f.Fuzz(func(tt *testing.T, doc []byte, operators bool) {
		if bson.Raw(doc).Validate() != nil {
			return
		}
		var update any = bson.Raw(doc)
		if !operators {
			update = bson.A{bson.Raw(doc)}
		}
		form, err := newUpdateDoc(update, t)
		if err != nil {
			return
		}
		for _, p := range form.paths {
			if ledger.Reserved(p) || pathsOverlap(p, "email") || strings.HasSuffix(p, ".$") {
				tt.Fatalf("%v is accepted, and changes %q", update, p)
			}
		}
		b, err := bson.Marshal(bson.D{expr.Field("u", form.withLedger(bson.D{expr.Field("k", 1)}, bson.A{1}))})
		if err != nil {
			tt.Fatal(err)
		}
		whole := bson.Raw(b).String()
		if strings.Count(whole, ledger.Applied) == 0 || strings.Count(whole, ledger.Waits) == 0 {
			tt.Fatalf("%v became %s", update, whole)
		}
	})
}
