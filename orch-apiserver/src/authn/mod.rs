//! Who is asking: [`User`] and the authenticators that find it in a request.

mod user;

pub use user::User;
