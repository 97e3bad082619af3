//! Documents in GraphQL.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(network::graphql);
