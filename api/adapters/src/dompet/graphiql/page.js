// Starts GraphiQL with a query that works without a token, and a place to put one.
"use strict";

const query = `# Register, log in, and put the token into the headers below:
#   { "Authorization": "Bearer <access_token>" }
# Operators show the server's token there. Ctrl-Enter runs what the cursor is in.

mutation Register {
  registerUser(
    username: "ann"
    fullname: "Ann"
    email: "ann@gmail.com"
    password: "a long password"
  )
}

mutation LogIn {
  loginUser(email: "ann@gmail.com", password: "a long password") {
    access_token
    user { user_id email role }
  }
}

query Wallets {
  myWallets { walletId walletName balance status }
}
`;

const element = React.createElement(GraphiQL, {
  fetcher: GraphiQL.createFetcher({ url: "/graphql" }),
  defaultQuery: query,
  defaultEditorToolsVisibility: "headers",
  // A token is kept for as long as the page is open, and no longer.
  shouldPersistHeaders: false,
});
ReactDOM.createRoot(document.getElementById("graphiql")).render(element);
