package mongo_test

import "go.mongodb.org/mongo-driver/v2/bson"

// with sets a field of a reply.
func with(d bson.D, name string, value any) bson.D {
	for i := range d {
		if d[i].Key == name {
			d[i].Value = value
			return d
		}
	}
	return append(d, bson.E{Key: name, Value: value})
}

// writeError is how a server turns one item of a command down.
func writeError(index, code int, text string) bson.D {
	return bson.D{{Key: "index", Value: int32(index)}, {Key: "code", Value: int32(code)}, {Key: "errmsg", Value: text}}
}
