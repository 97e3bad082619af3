//! The rules as they are shown: the whole catalogue with its ids, or a list of one kind.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::partner::Standing;

use super::catalogue::{CatalogueFile, TierProgramFile};

/// A tenant's rules at a version.
#[derive(Serialize, ToSchema)]
pub(crate) struct CatalogueReply {
    /// The tenant's slug.
    pub(crate) tenant: String,
    /// The version.
    pub(crate) version: u32,
    /// The rules, in the form in which they can be sent back. Keys of partners are never shown.
    pub(crate) catalogue: CatalogueFile,
    /// The ids that the rules were given.
    pub(crate) ids: CatalogueIds,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// The ids that rules were given, by their names.
#[derive(Serialize, ToSchema)]
pub(crate) struct CatalogueIds {
    /// The tenant's.
    pub(crate) tenant: u32,
    /// Those of partners, by slug.
    pub(crate) partners: BTreeMap<String, u32>,
    /// Those of promos, by code.
    pub(crate) promos: BTreeMap<String, PromoIds>,
    /// Those of programmes, by name.
    pub(crate) tier_programs: BTreeMap<String, TierProgramIds>,
    /// Those of the kinds of points, by name.
    pub(crate) point_kinds: BTreeMap<String, u32>,
    /// Those of cashback rules, by name.
    pub(crate) cashback_rules: BTreeMap<String, u32>,
    /// Those of fulfillments, by name.
    pub(crate) fulfillments: BTreeMap<String, u32>,
    /// Those of rewards, by name.
    pub(crate) rewards: BTreeMap<String, u32>,
    /// Those of campaigns, by name.
    pub(crate) campaigns: BTreeMap<String, u32>,
    /// Those of offers, by name.
    pub(crate) offers: BTreeMap<String, u32>,
    /// Those of risk rules, by name.
    pub(crate) risk_rules: BTreeMap<String, u32>,
}

/// The ids of a promo.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoIds {
    /// Its own.
    pub(crate) id: u32,
    /// Those of its bands, in their order.
    pub(crate) bands: Vec<u32>,
}

/// The ids of a programme.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierProgramIds {
    /// Its own.
    pub(crate) id: u32,
    /// Those of its levels, by name.
    pub(crate) levels: BTreeMap<String, LevelIds>,
}

/// The ids of a level.
#[derive(Serialize, ToSchema)]
pub(crate) struct LevelIds {
    /// Its own.
    pub(crate) id: u32,
    /// Those of its milestones, in their order.
    pub(crate) milestones: Vec<u32>,
}

/// A tenant's tier programmes.
#[derive(Serialize, ToSchema)]
pub(crate) struct TierProgramList {
    /// The programmes.
    pub(crate) data: Vec<TierProgramFile>,
    /// Always null: the list is whole.
    #[schema(value_type = Option<String>, required)]
    pub(crate) next_cursor: (),
    /// The version of the rules.
    pub(crate) version: u32,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A tenant's partners.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartnerList {
    /// The partners.
    pub(crate) data: Vec<Partner>,
    /// Always null: the list is whole.
    #[schema(value_type = Option<String>, required)]
    pub(crate) next_cursor: (),
    /// The version of the rules.
    pub(crate) version: u32,
    /// The position that this is the state of.
    pub(crate) as_of: u64,
}

/// A partner; its key is never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct Partner {
    /// Its id.
    pub(crate) id: u32,
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its name for people.
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) standing: Standing,
}
