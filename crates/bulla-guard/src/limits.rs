//! How often somebody may ask, and how long a wrong guess costs.
