//! The wire and log contract: generated messages and services, with the descriptors for reflection. No logic.

#![expect(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]

pub mod fenliu {
    pub mod admin {
        pub mod v1 {
            tonic::include_proto!("fenliu.admin.v1");
        }
    }
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("fenliu.common.v1");
        }
    }
    pub mod intake {
        pub mod v1 {
            tonic::include_proto!("fenliu.intake.v1");
        }
    }
    pub mod roster {
        pub mod v1 {
            tonic::include_proto!("fenliu.roster.v1");
        }
    }
    pub mod intent {
        pub mod v1 {
            tonic::include_proto!("fenliu.intent.v1");
        }
    }
    pub mod assignment {
        pub mod v1 {
            tonic::include_proto!("fenliu.assignment.v1");
        }
    }
    pub mod kpi {
        pub mod v1 {
            tonic::include_proto!("fenliu.kpi.v1");
        }
    }
    pub mod payroll {
        pub mod v1 {
            tonic::include_proto!("fenliu.payroll.v1");
        }
    }
}

pub use fenliu::admin::v1 as admin;
pub use fenliu::assignment::v1 as assignment;
pub use fenliu::common::v1 as common;
pub use fenliu::intake::v1 as intake;
pub use fenliu::intent::v1 as intent;
pub use fenliu::kpi::v1 as kpi;
pub use fenliu::payroll::v1 as payroll;
pub use fenliu::roster::v1 as roster;

/// The compiled descriptors of all files, for reflection and for tests that walk the contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
